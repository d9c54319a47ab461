#!/usr/bin/env bash

#OAR -n orimap-0123abcd
#OAR -q default
#OAR --project em-facility
#OAR -l /nodes=1/core=8,walltime=02:00:00
#OAR -p mem_core>=3815
export OMP_NUM_THREADS=1
export MKL_NUM_THREADS=1
export OPENBLAS_NUM_THREADS=1
export NUMBA_NUM_THREADS=1
export MALLOC_TRIM_THRESHOLD_=16777216
export MALLOC_MMAP_THRESHOLD_=4194304
export DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False
export PYTHONSAFEPATH=1
export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES=[]
module load python/3.11
PYTHON -P -m distributed.cli.dask_worker tls://HOST:PORT --name orimap-0123abcd --nthreads 1 --memory-limit 3.73GiB --nworkers 8 --nanny --death-timeout 60 --dashboard-address 127.0.0.1:0 --lifetime 6240s --lifetime-stagger 360s --no-lifetime-restart --tls-ca-file FOLDER/ca.pem --tls-cert FOLDER/cert.pem --tls-key FOLDER/key.pem --interface ib0 --protocol tls://
