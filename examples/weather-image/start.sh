#!/bin/sh
# What the weather image of the demo starts. It shows what it got without showing a value: the demo's values are random,
# so a SHA-256 tells nothing about them. (Of a weak password it would: never log hashes of real secrets.)
echo "I am user $(id -un), process $$, and these are my variables:"
# shellcheck disable=SC2013  # names of variables have no blanks
for name in $(awk 'BEGIN { for (name in ENVIRON) print name }' | sort); do
    case $name in
        WEATHER_*) echo "$name sha256 $(eval "printf %s \"\$$name\"" | sha256sum | cut -d ' ' -f 1)" ;;
        *) echo "$name" ;;
    esac
done
echo "printed by mistake: WEATHER_API_KEY=$WEATHER_API_KEY"
trap 'echo "stopping"; exit 0' TERM
httpd -f -p 8000 -h /www &
echo "serving on port 8000"
wait
