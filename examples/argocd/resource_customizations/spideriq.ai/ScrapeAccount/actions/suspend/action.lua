-- Submits nothing more with it; what runs is followed.
obj.spec.suspend = true
return obj
