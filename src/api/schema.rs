//! The parts of the schema that serde cannot express: open payloads, list maps, URLs.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::name;

/// The payload: fields that we know are declared, so that mistakes are caught at apply; all others are kept.
///
/// It is atomic: otherwise a key patched in by hand would survive Git's next apply, and the wrong job be paid for.
pub(super) fn payload(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 256,
        "x-kubernetes-map-type": "atomic",
        "x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-validations": [{
            "rule": "!has(self.url) || self.url.matches('^(?i:https?)://')",
            "fieldPath": ".url",
            "message": "url must start with http:// or https://",
        }],
        "properties": {
            "url": {"description": "Start page, http or https. Left out, none is sent; spiderSite needs it.", "type": "string", "maxLength": 2048},
            "search_query": {"description": "Search words of spiderMaps. Left out, none are sent.", "type": "string", "minLength": 1, "maxLength": 2048},
            "query": {"description": "Alias of search_query. Left out, none is sent.", "type": "string", "minLength": 1, "maxLength": 2048},
            "max_pages": {"description": "Page limit; 1 to 50 for spiderSite. Left out, the service's own default holds.", "type": "integer"},
            "max_results": {"description": "Result limit; 1 to 100 for spiderMaps. Left out, the service's own default holds.", "type": "integer"},
        },
    })
}

/// A list of conditions with one entry a type, so that server-side apply can merge it.
pub(super) fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let item = generator.subschema_for::<super::Condition>();
    json_schema!({
        "type": "array",
        "maxItems": 24,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": item,
    })
}

/// A bounded list of short hashes, replaced as a whole.
pub(super) fn used_run_ids(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 100,
        "x-kubernetes-list-type": "atomic",
        "items": {"type": "string", "maxLength": 16},
    })
}

/// The name of an object, which becomes part of an address.
pub(super) fn object_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": name::LONGEST, "pattern": name::PATTERN})
}

/// The endpoint of an account. The controller checks it against its list once more.
pub(super) fn endpoint(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 512,
        "x-kubernetes-validations": [{
            "rule": "isURL(self) && url(self).getHostname() != '' && !self.contains('@') && !self.contains('?') && !self.contains('#') && (url(self).getScheme() == 'https' || (url(self).getScheme() == 'http' && url(self).getHostname() in ['localhost', '127.0.0.1', '::1']))",
            "message": "endpoint must be an https URL with a host and without user, query or fragment (http only on loopback)",
        }],
    })
}

/// Kubernetes' own label selector, with what the API server demands of one where it reads it itself.
pub(super) fn namespace_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "description": "Labels that all have to be there with these values. Left out, none is asked for.",
                "type": "object",
                "maxProperties": 32,
                "additionalProperties": {"type": "string", "maxLength": 63},
            },
            "matchExpressions": {
                "description": "Requirements that all have to be met. Left out, there are none.",
                "type": "array",
                "maxItems": 32,
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "x-kubernetes-validations": [{
                        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
                        "message": "In and NotIn need values; Exists and DoesNotExist have none",
                    }],
                    "properties": {
                        "key": {"description": "The label.", "type": "string", "minLength": 1, "maxLength": 316},
                        "operator": {"description": "In, NotIn, Exists or DoesNotExist.", "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
                        "values": {
                            "description": "Values for In and NotIn. Left out with Exists and DoesNotExist.",
                            "type": "array",
                            "maxItems": 64,
                            "x-kubernetes-list-type": "atomic",
                            "items": {"type": "string", "maxLength": 63},
                        },
                    },
                },
            },
        },
    })
}
