use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::{Value, json};

use crate::{Kind, Native, Package, Report};

/// A bill of materials in CycloneDX 1.5: the packages, their native files, and what is known to be inside
/// of these. It has no time and no serial number, so that the same files give the same bytes.
pub fn sbom(report: &Report) -> String {
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    let mut seen = BTreeSet::new();
    for package in &report.packages {
        let reference = format!("package:{}", package.place);
        // References are unique, and whoever names a package twice means one.
        if !seen.insert(reference.clone()) {
            continue;
        }
        let mut parts = Vec::new();
        let mut inside = Vec::new();
        for native in &package.natives {
            let part = format!("{reference}#{}", native.path);
            // Members of static archives often share a name.
            if !seen.insert(part.clone()) {
                continue;
            }
            inside.push(file(native, &part));
            inside.extend(ggml(native, &part));
            parts.push(part);
        }
        components.push(component(package, &reference, &inside));
        dependencies.push(json!({ "ref": reference, "dependsOn": parts }));
    }
    crate::text::pretty(&json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "tools": { "components": [{
            "type": "application",
            "name": "trifold-pack",
            "version": env!("CARGO_PKG_VERSION"),
        }]}},
        "components": components,
        "dependencies": dependencies,
    }))
}

fn component(package: &Package, reference: &str, inside: &[Value]) -> Value {
    let file = package.place.rsplit('/').next().unwrap_or(&package.place);
    let mut component = json!({
        "type": "library",
        "bom-ref": reference,
        "name": file,
        "components": inside,
    });
    if let Some(metadata) = package
        .metadata
        .as_ref()
        .filter(|metadata| !metadata.name.is_empty())
    {
        component["name"] = json!(metadata.name);
        component["version"] = json!(metadata.version);
        component["purl"] = json!(purl(&metadata.name, &metadata.version));
        if let Some(expression) = &metadata.license_expression {
            component["licenses"] = json!([{ "expression": expression }]);
        } else if let Some(licence) = &metadata.license {
            component["licenses"] = json!([{ "license": { "name": licence } }]);
        }
    }
    component
}

/// A package of PyPI: its normal name, and its version with what has a meaning in addresses escaped.
fn purl(name: &str, version: &str) -> String {
    let name = name.to_lowercase();
    let parts: Vec<&str> = name
        .split(['-', '_', '.'])
        .filter(|part| !part.is_empty())
        .collect();
    let mut purl = format!("pkg:pypi/{}@", parts.join("-"));
    for byte in version.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            purl.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(purl, "%{byte:02X}");
        }
    }
    purl
}

fn file(native: &Native, reference: &str) -> Value {
    let path = native.path.rsplit('/').next().unwrap_or(&native.path);
    let mut component = json!({
        "type": if native.facts.kind == Kind::Program { "application" } else { "library" },
        "bom-ref": reference,
        "name": library(path),
        "hashes": [{ "alg": "SHA-256", "content": native.sha256 }],
        "properties": [
            { "name": "trifold-pack:path", "value": native.path },
            { "name": "trifold-pack:bytes", "value": native.bytes.to_string() },
        ],
    });
    if let Some(version) = version(path) {
        component["version"] = json!(version);
    }
    if let Some(id) = &native.facts.build_id {
        let properties = component["properties"].as_array_mut();
        if let Some(properties) = properties {
            properties.push(json!({ "name": "trifold-pack:build-id", "value": id }));
        }
    }
    component
}

fn ggml(native: &Native, reference: &str) -> Option<Value> {
    let ggml = native.ggml.as_ref().filter(|ggml| ggml.core)?;
    let mut component = json!({
        "type": "library",
        "bom-ref": format!("{reference}/ggml"),
        "name": "ggml",
    });
    if let Some(version) = &ggml.version {
        component["version"] = json!(version);
    }
    let properties: Vec<Value> = [
        ("commit", ggml.commit.clone()),
        (
            "backend-api",
            ggml.api_version.map(|version| version.to_string()),
        ),
        ("max-name", ggml.max_name.map(|size| size.to_string())),
        (
            "tensor-overhead",
            ggml.tensor_overhead.map(|size| size.to_string()),
        ),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(json!({ "name": format!("ggml:{name}"), "value": value? })))
    .collect();
    component["properties"] = json!(properties);
    Some(component)
}

/// `libgomp-a34b3233.so.1.0.0` → `libgomp`: auditwheel puts a hash into the names of what it bundles.
fn library(file: &str) -> &str {
    let stem = file.split(".so").next().unwrap_or(file);
    match stem.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 8 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            // Twice where it was bundled by what is bundled.
            library(name)
        }
        _ => stem,
    }
}

/// `libgomp-a34b3233.so.1.0.0` → `1.0.0`.
fn version(file: &str) -> Option<&str> {
    let version = file.split_once(".so.")?.1;
    version
        .starts_with(|c: char| c.is_ascii_digit())
        .then_some(version)
}

#[cfg(test)]
mod tests {
    use super::{library, purl, version};

    #[test]
    fn packages_have_their_normal_names() {
        assert_eq!(purl("A_b.-c", "1.0"), "pkg:pypi/a-b-c@1.0");
        assert_eq!(purl("torch", "2.9.1+cpu"), "pkg:pypi/torch@2.9.1%2Bcpu");
    }

    #[test]
    fn bundled_libraries_keep_their_names() {
        assert_eq!(library("libgomp-a34b3233.so.1.0.0"), "libgomp");
        assert_eq!(
            library("libquadmath-96973f99-934c22de.so.0.0.0"),
            "libquadmath"
        );
        assert_eq!(library("_native.abi3.so"), "_native.abi3");
        assert_eq!(version("libgomp-a34b3233.so.1.0.0"), Some("1.0.0"));
        assert_eq!(version("_native.abi3.so"), None);
    }
}
