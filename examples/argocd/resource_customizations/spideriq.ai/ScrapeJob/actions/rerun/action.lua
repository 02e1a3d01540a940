-- Runs the job again in place, which is paid for: under a runID of its own, as no runID is submitted twice.
local os = require("os")
obj.spec.runID = "argocd-" .. os.date("!%Y%m%dT%H%M%SZ")
if obj.spec.cancel == true then
  obj.spec.cancel = false
end
return obj
