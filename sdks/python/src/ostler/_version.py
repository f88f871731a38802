"""The version of this package, as nodes hear it."""

VERSION = "0.1.0"
