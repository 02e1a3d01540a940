-- Lets it be submitted.
obj.spec.suspend = false
return obj
