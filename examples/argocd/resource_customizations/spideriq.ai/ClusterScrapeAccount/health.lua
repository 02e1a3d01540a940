-- How Argo CD shows a ScrapeJob, a ScrapeAccount or a ClusterScrapeAccount: as its conditions say, and never by an
-- answer about an older spec. values.yaml has the same for Argo CD's Helm chart.
local health = {status = "Progressing", message = "Waiting for spideriq-operator to look at it"}
if obj.metadata.deletionTimestamp ~= nil then
  health.message = "Being deleted"
  return health
end
local generation = obj.metadata.generation
if obj.status == nil or obj.status.conditions == nil or obj.status.observedGeneration ~= generation then
  return health
end
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Ready" and condition.observedGeneration == generation then
    health.message = condition.message
    if condition.message == nil or condition.message == "" then
      health.message = condition.reason
    end
    if condition.status == "True" then
      health.status = "Healthy"
      if obj.status.state == "Suspended" then
        health.status = "Suspended"
      end
    elseif condition.status == "False" then
      health.status = "Degraded"
    end
  end
end
return health
