//! What the inventory knows of a selector, page by page.

use severance_lifecycle::event::Selector;
use severance_lifecycle::plan::Identity;

use crate::ports::LedgerError;
use crate::shared::Shared;

/// Pages of the inventory.
pub(crate) struct Pages<'a> {
    shared: &'a Shared,
    selector: Selector,
    after: Option<i64>,
}

impl<'a> Pages<'a> {
    /// Pages of what a selector matches; none where it is not read from the inventory at all.
    pub(crate) fn of(shared: &'a Shared, selector: &Selector, in_pages: bool) -> Self {
        Self { shared, selector: selector.clone(), after: in_pages.then_some(0) }
    }

    /// The next page.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Identity>>, LedgerError> {
        let Some(after) = self.after else { return Ok(None) };
        let limit = self.shared.config.portion;
        let page = self.shared.ledger.identities_page(&self.selector, after, limit).await?;
        self.after = page.next;
        Ok(Some(page.identities))
    }

    /// Whether there are no more.
    pub(crate) fn is_last(&self) -> bool {
        self.after.is_none()
    }
}
