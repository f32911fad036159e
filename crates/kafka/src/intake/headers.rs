//! Reading a record's headers without trusting them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::message::Headers as NativeHeaders;
use severance_engine::ports::Headers;
use severance_lifecycle::event::Malformed;

/// Stands, with its number, where a header was that cannot be read.
const STAND_IN: &str = "__dlq.errors.header.";

/// The headers in order, and what cannot be read of them.
///
/// The client library unwraps each header's name as UTF-8, and brokers do not check it: a name that is
/// not makes it panic, before it gives the value. Such a record is malformed; it must not end the thread
/// that polls. Without unsafe code there is no way to such a header's bytes: a stand-in without a value
/// keeps its place, so that whoever reads the dead letter sees which headers to fetch from the record.
pub(super) fn read<H: NativeHeaders>(native: Option<&H>) -> (Headers, Option<Malformed>) {
    let mut headers = Headers::new();
    let mut malformed = None;
    let Some(native) = native else { return (headers, malformed) };
    for index in 0..native.count() {
        let header = catch_unwind(AssertUnwindSafe(|| {
            let header = native.try_get(index)?;
            Some((header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
        }));
        if let Ok(header) = header {
            headers.extend(header);
        } else {
            headers.push((format!("{STAND_IN}{index}"), None));
            let field = format!("headers[{index}]");
            let refused = Malformed::new(field, "the name is not UTF-8; the header is not kept");
            malformed.get_or_insert(refused);
        }
    }
    (headers, malformed)
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Header;

    use super::*;

    /// Does what the library does with a name that is not UTF-8.
    struct Poison;

    impl NativeHeaders for Poison {
        fn count(&self) -> usize {
            3
        }

        fn try_get(&self, index: usize) -> Option<Header<'_, &[u8]>> {
            let name: &[u8] = if index == 1 { b"\xff" } else { b"ce_id" };
            Some(Header { key: std::str::from_utf8(name).unwrap(), value: None })
        }
    }

    #[test]
    fn a_header_name_that_is_not_utf_8_is_malformed_and_no_panic() {
        let (headers, malformed) = read(Some(&Poison));
        let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["ce_id", "__dlq.errors.header.1", "ce_id"]);
        assert_eq!(malformed.unwrap().field, "headers[1]");
    }
}
