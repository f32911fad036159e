//! Pages of listings: `Marker`, `MaxItems`, `IsTruncated`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::AwsError;
use super::params::Params;
use super::xml::Xml;

/// One page: its items, and the key of the last one where more follow.
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    next: Option<String>,
}

impl<T> Page<T> {
    /// Writes `IsTruncated` and, where more follow, `Marker`.
    pub(crate) fn close(&self, xml: &mut Xml) {
        xml.flag("IsTruncated", self.next.is_some());
        xml.maybe("Marker", self.next.as_deref().map(encode));
    }
}

/// The page that `params` ask for. `from` gives the entries, each with its key in ascending order,
/// that come after the key it is given.
pub(crate) fn page<T, I>(
    params: &Params,
    largest: usize,
    from: impl FnOnce(Option<&str>) -> I,
) -> Result<Page<T>, AwsError>
where
    I: Iterator<Item = (String, T)>,
{
    let asked = match params.number("MaxItems")? {
        None => 100,
        Some(asked @ 1..=1000) => usize::try_from(asked).unwrap_or(1000),
        Some(asked) => {
            let message = format!(
                "1 validation error detected: Value '{asked}' at 'maxItems' failed to satisfy \
                 constraint: Member must be between 1 and 1000"
            );
            return Err(AwsError::validation(message));
        }
    };
    let after = params.get("Marker").map(decode).transpose()?;
    Ok(cut(from(after.as_deref()), asked.min(largest)))
}

/// The first `size` entries, and the key of the last where more follow.
pub(crate) fn cut<T>(entries: impl Iterator<Item = (String, T)>, size: usize) -> Page<T> {
    let mut entries = entries.peekable();
    let (mut items, mut last) = (Vec::new(), None);
    while items.len() < size {
        let Some((key, item)) = entries.next() else {
            break;
        };
        items.push(item);
        last = Some(key);
    }
    let next = if entries.peek().is_some() { last } else { None };
    Page { items, next }
}

impl<T> Page<T> {
    /// The token of the next page, where there is one.
    pub(crate) fn token(&self) -> Option<String> {
        self.next.as_deref().map(encode)
    }
}

/// Pages entries that are already in a short sorted collection.
pub(crate) fn page_of<T>(
    params: &Params,
    largest: usize,
    entries: impl Iterator<Item = (String, T)>,
) -> Result<Page<T>, AwsError> {
    page(params, largest, |after| {
        let after = after.map(str::to_owned);
        entries.filter(move |(key, _)| after.as_deref().is_none_or(|after| key.as_str() > after))
    })
}

fn encode(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// The key in a marker.
pub(crate) fn decode(marker: &str) -> Result<String, AwsError> {
    let key = URL_SAFE_NO_PAD.decode(marker).ok().and_then(|key| String::from_utf8(key).ok());
    key.ok_or_else(|| AwsError::validation(format!("Invalid Marker: {marker}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_without_loss() {
        let names = ["a", "b", "c", "d", "e"];
        let (mut seen, mut marker) = (Vec::new(), None::<String>);
        loop {
            let form = marker.map_or(String::new(), |marker| format!("Marker={marker}"));
            let entries = names.iter().map(|name| ((*name).to_owned(), *name));
            let page = page_of(&Params::parse(&form), 2, entries).unwrap();
            assert!(page.items.len() <= 2);
            seen.extend(page.items.iter().copied());
            marker = page.token();
            if marker.is_none() {
                break;
            }
        }
        assert_eq!(seen, names);
    }
}
