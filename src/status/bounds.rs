//! Keeps a status within what the schema accepts: one field too long would fail the whole write.

use crate::api::{MESSAGE_MAX, ScrapeJobStatus};

/// Cuts every text that comes from outside to what the schema allows. With all of them at their longest the whole
/// status stays under 32 KiB.
pub(super) fn apply(status: &mut ScrapeJobStatus) {
    limit(&mut status.type_, 63);
    limit(&mut status.job_id, 128);
    if let Some(account) = &mut status.account {
        account.name = cut(&account.name, 253);
        limit(&mut account.client_id, 128);
    }
    if let Some(submission) = &mut status.submission {
        limit(&mut submission.endpoint, 512);
        limit(&mut submission.client_id, 128);
    }
    if let Some(remote) = &mut status.remote {
        limit(&mut remote.state, 64);
        limit(&mut remote.worker_id, 128);
        limit(&mut remote.processing_time_seconds, 32);
        limit(&mut remote.error_message, MESSAGE_MAX);
    }
}

/// At most `bytes` bytes of a text, cut between characters, and without control characters.
pub(super) fn cut(text: &str, bytes: usize) -> String {
    const ELLIPSIS: &str = "…";
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.len() <= bytes {
        return clean;
    }
    let end = clean.floor_char_boundary(bytes.saturating_sub(ELLIPSIS.len()));
    format!("{}{ELLIPSIS}", clean.get(..end).unwrap_or_default())
}

fn limit(text: &mut Option<String>, bytes: usize) {
    if let Some(text) = text
        && (text.len() > bytes || text.chars().any(char::is_control))
    {
        *text = cut(text, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_text_is_cut_between_characters_and_loses_control_characters() {
        assert_eq!(cut("short", 10), "short");
        assert_eq!(cut("a\r\nb\0c", 10), "a  b c");
        assert_eq!(cut("aaaaaaaaaa", 8), "aaaaa…");
        assert_eq!(cut("ééééé", 8), "éé…");
        assert!(cut(&"é".repeat(2000), 1024).len() <= 1024);
    }
}
