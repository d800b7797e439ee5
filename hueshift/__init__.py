"""The `hueshift` command: what is done to a stack besides `pulumi up`, through the same files and APIs as by hand."""
