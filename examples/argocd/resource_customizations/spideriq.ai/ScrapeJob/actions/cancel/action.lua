-- Cancels the job at the service, and keeps the object.
obj.spec.cancel = true
return obj
