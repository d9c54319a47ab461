#!/usr/bin/env bash

#PBS -N orimap-worker
#PBS -q workq
#PBS -A em-facility
#PBS -l select=1:ncpus=8:mem=30GB
#PBS -l walltime=02:00:00
#PBS -l place=scatter
module load python/3.11
PYTHON -m distributed.cli.dask_worker tls://10.0.0.1:8786 --name orimap-worker --nthreads 1 --memory-limit 3.73GiB --nworkers 8 --nanny --death-timeout 60 --local-directory $TMPDIR --interface ib0
