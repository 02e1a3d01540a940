-- What a person may do with a ScrapeJob in Argo CD, and what of it makes sense as it is.
local spec = obj.spec or {}
local status = obj.status or {}
local going = obj.metadata.deletionTimestamp ~= nil
-- What is said of an older spec says nothing of this one: whoever clicks twice runs it once.
local known = status.observedGeneration == obj.metadata.generation
local over = known and status.finished == true
return {
  ["cancel"] = {disabled = going or over or spec.cancel == true, iconClass = "fa fa-fw fa-ban"},
  ["rerun"] = {disabled = going or not over or spec.jobID ~= nil, iconClass = "fa fa-fw fa-redo"},
  ["suspend"] = {disabled = going or over or spec.suspend == true or status.jobID ~= nil, iconClass = "fa fa-fw fa-pause"},
  ["resume"] = {disabled = going or spec.suspend ~= true, iconClass = "fa fa-fw fa-play"},
  ["refresh"] = {disabled = going, iconClass = "fa fa-fw fa-sync"},
}
