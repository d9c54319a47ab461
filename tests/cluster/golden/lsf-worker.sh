#!/usr/bin/env bash

#BSUB -J orimap-worker
#BSUB -q normal
#BSUB -P "em-facility"
#BSUB -n 8
#BSUB -R "span[hosts=1]"
#BSUB -M 32000
#BSUB -W 2:00
#BSUB -R "select[mem>32000]"
module load python/3.11
PYTHON -m distributed.cli.dask_worker tls://10.0.0.1:8786 --name orimap-worker --nthreads 1 --memory-limit 3.73GiB --nworkers 8 --nanny --death-timeout 60 --interface ib0
