/*
 * errors.h
 *		The SQLSTATEs of class TM; nothing else.
 */
#ifndef TAPMIG_ERRORS_H
#define TAPMIG_ERRORS_H

#include "utils/elog.h"

#define TAPMIG_ERRCODE_CHANGED			MAKE_SQLSTATE('T','M','0','0','1')
#define TAPMIG_ERRCODE_OUT_OF_ORDER		MAKE_SQLSTATE('T','M','0','0','2')
#define TAPMIG_ERRCODE_WRONG_SHAPE		MAKE_SQLSTATE('T','M','0','0','3')
#define TAPMIG_ERRCODE_BUSY				MAKE_SQLSTATE('T','M','0','0','4')
#define TAPMIG_ERRCODE_BLOCKED			MAKE_SQLSTATE('T','M','0','0','5')
#define TAPMIG_ERRCODE_MISSING			MAKE_SQLSTATE('T','M','0','0','6')
#define TAPMIG_ERRCODE_LINT				MAKE_SQLSTATE('T','M','0','0','7')
#define TAPMIG_ERRCODE_DATA_LOSS		MAKE_SQLSTATE('T','M','0','0','8')
#define TAPMIG_ERRCODE_NOT_UNDERSTOOD	MAKE_SQLSTATE('T','M','0','0','9')
#define TAPMIG_ERRCODE_APPEND_ONLY		MAKE_SQLSTATE('T','M','0','1','0')

#endif							/* TAPMIG_ERRORS_H */
