//! Built-in result data per type (contract section 6): plausible, made from the payload, the same at every read.
//!
//! All names and addresses are invented; domains are those of the payload or reserved for examples.

use serde_json::{Value, json};

use super::job::Job;

/// The `data` of a job that has some.
pub(crate) fn data(job: &Job) -> Value {
    if let Some(data) = &job.outcome.data {
        return data.clone();
    }
    let mut data = match job.kind.as_str() {
        "spiderSite" => site(job),
        "spiderMaps" => maps(&job.payload),
        "spiderVerify" => verify(&job.payload),
        "spiderCompanyData" => {
            json!({"success": true, "results": [{"name": text(&job.payload, "name"), "status": "active"}]})
        }
        "spiderSocial" => {
            json!({"status": "recovered", "skipped": false, "reason": null, "recovered_fields": []})
        }
        "spiderPeople" => json!({"status": "success", "profiles": []}),
        _ => json!({"status": "success"}),
    };
    if job.outcome.padding > 0
        && let Some(fields) = data.as_object_mut()
    {
        fields.insert("markdown_compendium".to_owned(), Value::from("x".repeat(job.outcome.padding)));
    }
    data
}

/// Number of pages, of types that crawl: that of the script, or what the mode allows (contract section 6.1).
pub(crate) fn pages_crawled(job: &Job) -> Option<u64> {
    if job.kind != "spiderSite" {
        return job.outcome.pages_crawled;
    }
    let research = job.payload.get("research").and_then(|r| r.get("max_pages")).and_then(Value::as_u64);
    let most = job.payload.get("max_pages").and_then(Value::as_u64).unwrap_or(10);
    let mode = match job.payload.get("mode").and_then(Value::as_str) {
        Some("compendium") => 10,
        Some("leads") => 50,
        Some("full") => 100,
        Some("research") => research.unwrap_or(8),
        _ => 5,
    };
    Some(job.outcome.pages_crawled.unwrap_or(mode.min(most)))
}

fn text<'a>(payload: &'a Value, field: &str) -> &'a str {
    payload.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
    host.strip_prefix("www.").unwrap_or(host)
}

fn phone(line: u64) -> Value {
    let last = format!("{:04}", line % 10_000);
    json!({"raw": format!("+1 202-555-{last}"), "e164": format!("+1202555{last}"), "national": format!("(202) 555-{last}"),
        "international": format!("+1 202-555-{last}"), "country_code": "US", "type": "fixed_line", "valid": true})
}

fn site(job: &Job) -> Value {
    let url = text(&job.payload, "url");
    let host = host(url);
    let name = host.split('.').next().unwrap_or_default();
    let mut data = json!({
        "url": url, "pages_crawled": pages_crawled(job), "crawl_status": "success",
        "emails": [format!("info@{host}"), format!("sales@{host}")], "phones": [phone(142)],
        "addresses": ["100 Main Street, Springfield"],
        "logo": {"url": format!("https://{host}/logo.png"), "confidence": 0.92, "type": "image", "source": "header"},
        "markdown_compendium": format!("# {name}\n\nContact: info@{host}\n"),
        "compendium": {"chars": 24 + name.len() + host.len(), "available": true, "cleanup_level": "fit", "storage_location": "inline"},
        "company_vitals": null, "team_members": [], "pain_points": null, "lead_scoring": null, "custom_analysis": null,
        "personalization_hooks": null, "meta": {"title": name}, "schema_org": {},
        "metadata": {"crawl_strategy": job.payload.get("crawl_strategy"), "sitemap_used": true,
            "spa_enabled": job.payload.get("enable_spa"), "ai_usage": {"total_tokens": 0}},
        "research": research(job, url),
    });
    let given = [("linkedin", format!("https://linkedin.com/company/{name}"))];
    let socials = [
        "linkedin",
        "twitter",
        "facebook",
        "instagram",
        "youtube",
        "github",
        "tiktok",
        "pinterest",
        "medium",
        "discord",
        "whatsapp",
        "telegram",
        "snapchat",
        "reddit",
    ];
    if let Some(fields) = data.as_object_mut() {
        for social in socials {
            let found = given.iter().find(|(name, _)| *name == social).map(|(_, url)| url.clone());
            fields.insert(social.to_owned(), json!(found));
        }
    }
    data
}

fn research(job: &Job, url: &str) -> Value {
    let Some(asked) = job.payload.get("research") else { return Value::Null };
    json!({"question": text(asked, "question"), "discover": text(asked, "discover"), "answer": "As stated on the page.",
        "answer_schema_valid": null, "answer_schema_errors": [], "answer_urls": {"checked": 0, "ungrounded": []},
        "sources": [url], "pages_read": 1, "pages_skipped_robots": 0, "pages_refused_unsafe": 0, "pages_failed": 0,
        "skipped": [], "usage": {"total_tokens": 512}, "full_text": null, "engine": "emulator"})
}

fn maps(payload: &Value) -> Value {
    let query = text(payload, "search_query");
    let count = payload.get("max_results").and_then(Value::as_u64).unwrap_or(20);
    let business = |n: u64| {
        let (slug, line) = (format!("business-{n}"), phone(n));
        let place = format!("ChIJ{n:023}");
        json!({
            "name": format!("Business {n}"), "place_id": place, "address": format!("{n} Main Street, Springfield"),
            "phone": line.get("raw"), "phone_e164": line.get("e164"), "phone_national": line.get("national"),
            "phone_type": "fixed_line", "phone_valid": true, "website": format!("https://{slug}.example"),
            "categories": [query], "rating": 4.5, "reviews_count": 10 + n,
            "coordinates": {"latitude": 38.9, "longitude": -77.03}, "link": format!("https://maps.example/{place}"),
            "business_status": "OPERATIONAL", "price_range": null, "working_hours": "Mon-Fri 09:00-17:00",
            "image_url": format!("https://{slug}.example/front.jpg"),
        })
    };
    json!({"query": query, "results_count": count, "businesses": (1..=count).map(business).collect::<Vec<_>>(),
        "metadata": {"lang": payload.get("lang"), "max_results": count}})
}

fn verify(payload: &Value) -> Value {
    let many = payload.get("emails").and_then(Value::as_array).cloned().unwrap_or_default();
    let emails: Vec<Value> = payload.get("email").cloned().into_iter().chain(many).collect();
    let one = |email: &Value| {
        json!({"email": email, "status": "valid", "sub_status": null, "quality": "good", "score": 95, "flags": {},
            "domain": {}, "did_you_mean": null})
    };
    json!({"total": emails.len(), "billable_count": emails.len(), "metadata": {},
        "summary": {"valid": emails.len(), "invalid": 0, "risky": 0, "unknown": 0, "skipped": 0},
        "results": emails.iter().map(one).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_follows_the_payload() {
        let found = maps(&json!({"search_query": "cafes", "max_results": 3}));
        assert_eq!(found["businesses"].as_array().unwrap().len(), 3);
        let checked = verify(&json!({"emails": ["a@example.com", "b@example.com"]}));
        assert_eq!(
            (&checked["total"], &checked["results"][1]["email"]),
            (&json!(2), &json!("b@example.com"))
        );
        assert_eq!(host("https://www.a.example:8443/x?y"), "a.example");
    }
}
