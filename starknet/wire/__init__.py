"""The sync protocols' protobuf messages and their length-delimited form."""
