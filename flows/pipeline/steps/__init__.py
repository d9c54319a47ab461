"""The steps of the pipeline: prepare, factorise, decide, conclude."""
