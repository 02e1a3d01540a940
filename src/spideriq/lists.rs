//! The list of the client's jobs: a page of it, in one order or another.

use reqwest::Method;

use super::client::{Answer, Client, TOTAL};
use super::signals::ours;
use super::wire::{ListPage, clean};

/// Jobs on a page of the list: the most that the service gives.
pub const PAGE: usize = 100;

/// Which jobs a list has, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// All, those first whose state changed last.
    Changed,
    /// Those that wait, the oldest first.
    Queued,
    /// Those that run, the oldest first.
    Processing,
}

impl Client {
    /// Reads a page of the client's jobs, newest first; pages count from 1 and hold [`PAGE`] jobs.
    pub async fn newest(&self, page: usize) -> Answer<ListPage> {
        let mut answer = self.page(&[("sort_by", "created_at"), ("sort_order", "desc")], page).await;
        let now = self.clock.now();
        for row in answer.result.iter_mut().flat_map(|page| &mut page.rows) {
            row.created_at = row.created_at.map(|at| ours(at, answer.signals.date, now));
        }
        answer
    }

    /// The same of one of the lists that say how jobs are.
    pub async fn list(&self, which: Listed, page: usize) -> Answer<ListPage> {
        let oldest = |state| [("status_filter", state), ("sort_by", "created_at"), ("sort_order", "asc")];
        match which {
            Listed::Changed => self.page(&[("sort_by", "updated_at"), ("sort_order", "desc")], page).await,
            Listed::Queued => self.page(&oldest("queued"), page).await,
            Listed::Processing => self.page(&oldest("processing"), page).await,
        }
    }

    async fn page(&self, order: &[(&str, &str)], page: usize) -> Answer<ListPage> {
        let (page, size) = (page.to_string(), PAGE.to_string());
        let query: Vec<(&str, &str)> =
            order.iter().copied().chain([("page_size", size.as_str()), ("page", page.as_str())]).collect();
        let sent = self.send("list", self.request(Method::GET, &["jobs", "list"], &query, TOTAL)).await;
        let sent = sent.map_err(|failure| self.failed(failure));
        self.answer(sent, |body| ListPage::read(&clean(body), self.credentials.expose())).await
    }

    /// Asks for the shortest page of the list: only accepted credentials are told.
    pub async fn probe(&self) -> Answer<()> {
        let request = self.request(Method::GET, &["jobs", "list"], &[("page_size", "1")], TOTAL);
        let sent = self.send("list", request).await.map_err(|failure| self.failed(failure));
        self.answer(sent, |body| ListPage::read(&clean(body), self.credentials.expose()).map(|_| ())).await
    }
}
