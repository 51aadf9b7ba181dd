"""The parts that scripts/make-cfg puts .cfg files together from."""
