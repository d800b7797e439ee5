module hueshift/tools/pause

go 1.25.0
