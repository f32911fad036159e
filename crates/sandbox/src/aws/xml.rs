//! A writer for the XML of the Query protocol.

use chrono::{DateTime, SecondsFormat, Utc};

/// XML being written, always well formed: elements are opened and closed by one call.
#[derive(Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn text(&mut self, name: &str, value: impl AsRef<str>) -> &mut Self {
        self.open(name);
        escape_into(&mut self.0, value.as_ref());
        self.close(name);
        self
    }

    pub(crate) fn maybe(&mut self, name: &str, value: Option<impl AsRef<str>>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.text(name, if value { "true" } else { "false" })
    }

    #[allow(clippy::needless_pass_by_value, reason = "numbers are cheaper to copy")]
    pub(crate) fn number(&mut self, name: &str, value: impl ToString) -> &mut Self {
        self.text(name, value.to_string())
    }

    pub(crate) fn time(&mut self, name: &str, value: DateTime<Utc>) -> &mut Self {
        self.text(name, iso(value))
    }

    pub(crate) fn nest(&mut self, name: &str, inside: impl FnOnce(&mut Xml)) -> &mut Self {
        self.open(name);
        inside(self);
        self.close(name);
        self
    }

    /// A list element with one `<member>` for each item.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Xml, T),
    ) -> &mut Self {
        self.nest(name, |xml| {
            for item in items {
                xml.nest("member", |xml| each(xml, item));
            }
        })
    }

    /// A list of plain strings.
    pub(crate) fn strings<S: AsRef<str>>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = S>,
    ) -> &mut Self {
        self.nest(name, |xml| {
            for item in items {
                xml.text("member", item);
            }
        })
    }

    /// An element around XML that is already written.
    pub(crate) fn raw(&mut self, name: &str, inside: &Xml) -> &mut Self {
        self.open(name);
        self.0.push_str(&inside.0);
        self.close(name);
        self
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }
}

/// The time as AWS's XML writes it, to the second.
pub(crate) fn iso(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn escape_into(out: &mut String, value: &str) {
    for letter in value.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#xD;"),
            letter if letter < ' ' && letter != '\n' && letter != '\t' => {}
            letter => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        let mut xml = Xml::default();
        xml.nest("A", |xml| {
            xml.text("B", "<&>\"\u{1}");
        });
        assert_eq!(xml.into_string(), "<A><B>&lt;&amp;&gt;&quot;</B></A>");
    }
}
