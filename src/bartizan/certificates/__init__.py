"""Certificates for zones that bring none: a development CA on this machine, and ACME authorities.

`development` makes a CA on the first run and a certificate for each zone that has no other. `acme` has certificates
issued and renewed by an authority (RFC 8555, HTTP-01). Both write one PEM file per zone with key, certificate and
chain, replaced by rename, so that the edge, which rereads a file that changed, never sees a key and a certificate that
do not belong together. Below the state directory:

    ca/ca.pem                     the development CA, for browsers and `curl --cacert`
    ca/ca.key                     its key
    ca/leaves/ZONE.pem            key and certificate of a zone
    ca/leaves.json                hosts and expiry of each leaf: a run that finds all in order reads nothing else
    acme/zones.json               the zones that want a certificate; written by apply
    acme/accounts/DIGEST/         account key and registration, one directory for each authority
    acme/challenges/TOKEN         what the edge answers to /.well-known/acme-challenge/TOKEN
    acme/certificates/ZONE.pem    key, certificate and chain of a zone; the development CA's until then
    acme/status.json              expiry, last failure and next attempt of each zone
"""
