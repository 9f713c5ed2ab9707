/*
 * sqlapi.h
 *		The SQL-callable functions have no callers in C.
 */
#ifndef TAPMIG_SQLAPI_H
#define TAPMIG_SQLAPI_H

#include "fmgr.h"

#endif							/* TAPMIG_SQLAPI_H */
