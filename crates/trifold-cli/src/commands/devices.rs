//! `trifold devices`: what each engine can compute on, and which backend plugins cannot be used.

use std::fmt::Write as _;

use serde::Serialize;
use trifold_backend::{BackendError, Device, Refusal};
use trifold_runtime::Host;

use crate::{error::CliError, ui::Ui};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  trifold devices\n  trifold devices --json\n  trifold generate --device cuda:1 \"Once upon a time\""
)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, ui: &Ui) -> Result<(), CliError> {
    let found = gather(ui)?;
    if ui.json() {
        return ui.print_json(&found);
    }
    let mut text = String::new();
    for engine in &found {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}", engine.engine);
        for line in engine.lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    ui.print(&text)
}

/// What an engine can compute on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EngineDevices {
    /// The upstream project.
    pub(crate) engine: &'static str,
    pub(crate) devices: Vec<Row>,
    pub(crate) refused: Vec<Refused>,
}

/// A device.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    id: String,
    name: String,
    description: String,
    memory_free: u64,
    memory_total: u64,
    plugin: Option<PluginRow>,
}

/// The plugin that brought a device.
#[derive(Clone, Debug, Serialize)]
struct PluginRow {
    name: String,
    version: String,
    path: String,
}

/// A plugin that cannot be used.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Refused {
    path: String,
    reason: String,
    hint: Option<String>,
}

/// Asks every engine.
pub(crate) fn gather(ui: &Ui) -> Result<Vec<EngineDevices>, CliError> {
    let hosts: [&'static Host; 3] = [
        &trifold_whisper_sys::HOST,
        &trifold_llama_sys::HOST,
        &trifold_diffusion_sys::HOST,
    ];
    let of = |host: &'static Host| {
        let found = trifold_backend::devices(host, &ui.devices().search)?;
        Ok(EngineDevices {
            engine: host.engine().name(),
            devices: found.devices.iter().map(row).collect(),
            refused: found.refused.iter().map(refused).collect(),
        })
    };
    hosts
        .into_iter()
        .map(of)
        .collect::<Result<_, BackendError>>()
        .map_err(CliError::Device)
}

fn row(device: &Device) -> Row {
    Row {
        id: device.id(),
        name: device.name.clone(),
        description: device.description.clone(),
        memory_free: device.memory_free,
        memory_total: device.memory_total,
        plugin: device.plugin.as_ref().map(|plugin| PluginRow {
            name: plugin.name.clone(),
            version: plugin.version.clone(),
            path: plugin.path.display().to_string(),
        }),
    }
}

fn refused(refusal: &Refusal) -> Refused {
    Refused {
        path: refusal.path.display().to_string(),
        reason: refusal.to_string(),
        hint: refusal.error.hint(),
    }
}

impl EngineDevices {
    /// One line for each device, and two for each plugin that cannot be used.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.devices.iter().map(Row::line).collect();
        for Refused { reason, hint, .. } in &self.refused {
            lines.push(format!("not used: {reason}"));
            lines.extend(hint.iter().map(|hint| format!("  hint: {hint}")));
        }
        lines
    }
}

impl Row {
    fn line(&self) -> String {
        let gib = |bytes: u64| {
            let tenths = bytes / ((1 << 30) / 10);
            format!("{}.{}", tenths / 10, tenths % 10)
        };
        let memory = match self.memory_total {
            0 => String::new(),
            total => format!(", {} of {} GiB free", gib(self.memory_free), gib(total)),
        };
        let plugin = self.plugin.as_ref().map_or_else(String::new, |plugin| {
            format!(", plugin {} {}", plugin.name, plugin.version)
        });
        format!("{:<8} {}{memory}{plugin}", self.id, self.description)
    }
}
