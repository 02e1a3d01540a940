//! Makes images, the operator's above all: a static binary, the root filesystem around it, an OCI archive, and a bill of materials.
//!
//! What is made depends on the commit, the toolchain and the C library alone: made twice, it has the same bytes.

pub mod arch;
pub mod archive;
pub mod bill;
pub mod binary;
mod command;
pub mod file;
pub mod program;
pub mod root;
pub mod source;

/// Sets a field of a JSON object.
pub(crate) fn set(object: &mut serde_json::Value, field: &str, value: serde_json::Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}
