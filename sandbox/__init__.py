"""The local cloud: real engine, real node, real proxy on one machine. The product never imports it."""
