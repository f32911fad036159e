//! The two calls of librdkafka's mock that the Rust binding lacks. The only unsafe code of the workspace.
#![allow(
    unsafe_code,
    reason = "rust-rdkafka's MockCluster keeps its pointer to itself and wraps neither of these calls"
)]

use std::ffi::{CString, NulError, c_int};

use rdkafka::ClientContext;
use rdkafka::bindings::{
    rd_kafka_handle_mock_cluster, rd_kafka_mock_broker_set_host_port,
    rd_kafka_mock_group_initial_rebalance_delay_ms,
};
use rdkafka::client::Client;

/// Lets groups form at once; by default the first member of a group waits three seconds for others.
pub(super) fn form_groups_at_once<C: ClientContext>(client: &Client<C>) {
    // SAFETY: the client is alive for the call. The cluster is asked of it here, belongs to it, and is
    // null where it has none; the call locks the cluster itself.
    unsafe {
        let cluster = rd_kafka_handle_mock_cluster(client.native_ptr());
        if !cluster.is_null() {
            rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
        }
    }
}

/// Sets what a broker tells clients to connect to.
///
/// # Errors
/// Where the host contains a null character.
pub(super) fn advertise<C: ClientContext>(
    client: &Client<C>,
    broker: i32,
    host: &str,
    port: u16,
) -> Result<(), NulError> {
    let host = CString::new(host)?;
    // SAFETY: as above; the library copies the host (at most 128 bytes of it) before it returns.
    unsafe {
        let cluster = rd_kafka_handle_mock_cluster(client.native_ptr());
        if !cluster.is_null() {
            rd_kafka_mock_broker_set_host_port(cluster, broker, host.as_ptr(), c_int::from(port));
        }
    }
    Ok(())
}
