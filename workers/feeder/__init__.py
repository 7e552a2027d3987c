"""The feeder: fetches blocks from a Starknet feeder gateway and hands them on as if peers had sent them."""
