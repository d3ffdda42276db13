"""The bucket: snapshots, segments, records, keys. The only user of aiobotocore. Imports openfaas and below."""
