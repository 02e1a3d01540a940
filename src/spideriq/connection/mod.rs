//! Where requests go, and how they get there.

mod endpoint;
mod roots;
mod transport;

pub use endpoint::{Endpoint, EndpointError};
pub(super) use transport::Network;
pub use transport::{Failure, Transport};
