//! Tests against real servers: Apache Kafka, MinIO, versitygw and Azurite, got by `.ci/servers`.
//!
//! A required server that is not there fails its tests; nothing is skipped in silence. Servers listen on free ports of
//! the loopback interface, keep their data in folders of their own and end with this process, however it ends.

mod crash;
#[path = "../common/guests.rs"]
mod guests;
mod scenarios;
mod servers;
#[path = "../common/stamps.rs"]
mod stamps;
mod stores;
mod support;
mod swaps;
