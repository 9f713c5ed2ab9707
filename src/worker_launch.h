/*
 * worker_launch.h
 *		The caller's side of the worker.
 */
#ifndef TAPMIG_WORKER_LAUNCH_H
#define TAPMIG_WORKER_LAUNCH_H

#include "request.h"
#include "stepwise.h"

extern StepwiseOutcome worker_launch(Request *request, int first_cut, int *pid);

#endif							/* TAPMIG_WORKER_LAUNCH_H */
