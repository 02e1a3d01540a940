-- What a person may do with an account in Argo CD, and what of it makes sense as it is.
local spec = obj.spec or {}
local going = obj.metadata.deletionTimestamp ~= nil
return {
  ["suspend"] = {disabled = going or spec.suspend == true, iconClass = "fa fa-fw fa-pause"},
  ["resume"] = {disabled = going or spec.suspend ~= true, iconClass = "fa fa-fw fa-play"},
  ["refresh"] = {disabled = going, iconClass = "fa fa-fw fa-sync"},
}
