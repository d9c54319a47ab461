#!/usr/bin/env condor_submit

MY.DaskWorkerName = "htcondor--$F(MY.JobId)--"
batch_name = orimap-0123abcd
RequestCpus = MY.DaskWorkerCores
RequestMemory = floor(MY.DaskWorkerMemory / 1048576)
RequestDisk = floor(MY.DaskWorkerDisk / 1024)
MY.JobId = "$(ClusterId).$(ProcId)"
MY.DaskWorkerCores = 4
MY.DaskWorkerMemory = 16000000000
MY.DaskWorkerDisk = 20000000000
LogDirectory = FOLDER/logs
Output = $(LogDirectory)/worker-$F(MY.JobId).out
Error = $(LogDirectory)/worker-$F(MY.JobId).err
Log = $(LogDirectory)/worker-$(ClusterId).log
Stream_Output = True
Stream_Error = True
accounting_group = em.facility
allowed_job_duration = 7200
Requirements = (TARGET.FileSystemDomain == MY.FileSystemDomain)
should_transfer_files = NO

Arguments = "-c 'export OMP_NUM_THREADS=1; export MKL_NUM_THREADS=1; export OPENBLAS_NUM_THREADS=1; export NUMBA_NUM_THREADS=1; export MALLOC_TRIM_THRESHOLD_=16777216; export MALLOC_MMAP_THRESHOLD_=4194304; export DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED=False; export PYTHONSAFEPATH=1; export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES=[]; PYTHON -P -m distributed.cli.dask_worker tls://HOST:PORT --name orimap-0123abcd --nthreads 1 --memory-limit 3.73GiB --nworkers 4 --nanny --death-timeout 60 --dashboard-address 127.0.0.1:0 --lifetime 6240s --lifetime-stagger 360s --no-lifetime-restart --tls-ca-file FOLDER/ca.pem --tls-cert FOLDER/cert.pem --tls-key FOLDER/key.pem --interface eth0 --protocol tls://'"
Executable = /bin/sh

Queue
