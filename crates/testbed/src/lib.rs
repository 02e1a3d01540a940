//! A real control plane for tests, the demo and benchmarks: etcd, kube-apiserver and their friends, built from
//! pinned Go modules and run on loopback; and a real node, on which pods run.
//!
//! It shares no code with the operator, and knows nothing of its resources.

mod attach;
mod audit;
mod control_plane;
pub mod node;
mod process;
mod tools;

pub use attach::{Own, Testbed};
pub use audit::{Entry, read as read_audit};
pub use control_plane::{ControlPlane, Options, Part};
pub use process::guard;
pub use tools::{Tool, Tools, argo_cd_crds, flux_crds, monitoring_crds};
