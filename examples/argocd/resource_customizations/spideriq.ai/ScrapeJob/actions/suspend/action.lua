-- Holds the submit back.
obj.spec.suspend = true
return obj
