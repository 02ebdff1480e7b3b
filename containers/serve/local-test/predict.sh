#!/bin/sh
# Ask the server of serve-local.sh: ./predict.sh IMAGE_FILE [CONTENT_TYPE]. ACCEPT=image/png gives a drawing.
exec curl --silent --show-error --fail-with-body --data-binary "@${1:?IMAGE_FILE}" -H "Content-Type: ${2:-image/jpeg}" -H "Accept: ${ACCEPT:-application/json}" http://127.0.0.1:8080/invocations
