#!/usr/bin/env bash

#OAR -n orimap-worker
#OAR -q default
#OAR --project em-facility
#OAR -l /nodes=1/core=8,walltime=02:00:00
#OAR -p mem_core>=3815
module load python/3.11
PYTHON -m distributed.cli.dask_worker tls://10.0.0.1:8786 --name orimap-worker --nthreads 1 --memory-limit 3.73GiB --nworkers 8 --nanny --death-timeout 60 --interface ib0
