//! The network as the rest of the code sees it: small types made from Kubernetes objects as they
//! arrive. Objects are parsed here, once; nothing behind this crate knows the API's own types.

mod addr;
mod convert;
mod objects;

pub use addr::Addr;
pub use convert::SERVICE_NAME_LABEL;
pub use objects::{
    Endpoint, EndpointPort, EndpointSlice, Event, Kind, Node, Object, ObjectName, Pod, Protocol,
    Service, ServicePort, ServiceType,
};
