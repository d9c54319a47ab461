"""Recording, deploying and starting runs with Prefect."""
