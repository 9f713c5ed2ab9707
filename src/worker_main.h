/*
 * worker_main.h
 *		The worker's side; the postmaster calls it.
 */
#ifndef TAPMIG_WORKER_MAIN_H
#define TAPMIG_WORKER_MAIN_H

extern PGDLLEXPORT void tapmig_worker_main(Datum main_arg);

#endif							/* TAPMIG_WORKER_MAIN_H */
