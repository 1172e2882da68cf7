//! The packed vocabularies of the real engine against the arrays in its source.

use trifold_build::{Builder, vocabulary};
use trifold_vocabulary::{Form, Packed};

#[test]
fn every_vocabulary_comes_out_as_upstream_has_it() {
    let builder = Builder::from_env().unwrap();
    let mut compared = 0;
    for (name, engine) in &builder.config.engine {
        let Some(vocabularies) = &engine.vocabularies else {
            continue;
        };
        let (tree, _) = builder.trees(name).unwrap();
        let arrays = vocabulary::arrays(&tree, vocabularies).unwrap();
        let sealed = builder.build(name).unwrap();
        let bytes = fs_err::read(sealed.vocabularies.unwrap()).unwrap();
        let packed = Packed::parse(&bytes).unwrap();
        let names: Vec<&str> = packed.names().collect();
        let expected: Vec<&str> = arrays.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, expected);
        for (name, array) in &arrays {
            assert!(packed.unpack(name).unwrap() == *array, "{name}");
            compared += 1;
        }

        // Each form has its share: if upstream writes a file in another way, it no longer fits one.
        let count = |is: fn(&Form) -> bool| {
            let entries = packed.entries().iter();
            entries.filter(|entry| is(&entry.form)).count()
        };
        assert_eq!(count(|form| matches!(form, Form::Tokens { .. })), 4);
        assert_eq!(count(|form| matches!(form, Form::Merges { .. })), 4);
        let raw: usize = arrays.iter().map(|(_, array)| array.len()).sum();
        assert!(bytes.len() * 7 < raw, "{} of {raw} bytes", bytes.len());
    }
    assert!(compared > 10, "only {compared} vocabularies were compared");
}
