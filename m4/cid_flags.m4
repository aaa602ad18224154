# SPDX-License-Identifier: BSD-2-Clause

# CID_ADD_CFLAGS(VARIABLE, FLAG...)
# Appends to VARIABLE each flag that the compiler takes, together with the
# user's CFLAGS, without a warning.
AC_DEFUN([CID_ADD_CFLAGS], [
  for cid_flag in $2; do
    AS_VAR_PUSHDEF([cid_cache], [cid_cv_cflag_$cid_flag])
    AC_CACHE_CHECK([whether $CC takes $cid_flag], [cid_cache], [
      cid_saved=$CFLAGS
      CFLAGS="$CFLAGS -Werror $cid_flag"
      AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <stdlib.h>]], [[]])],
        [AS_VAR_SET([cid_cache], [yes])], [AS_VAR_SET([cid_cache], [no])])
      CFLAGS=$cid_saved
    ])
    AS_VAR_IF([cid_cache], [yes], [$1="$$1 $cid_flag"])
    AS_VAR_POPDEF([cid_cache])
  done
])

# CID_ADD_LDFLAGS(VARIABLE, FLAG...)
AC_DEFUN([CID_ADD_LDFLAGS], [
  for cid_flag in $2; do
    AS_VAR_PUSHDEF([cid_cache], [cid_cv_ldflag_$cid_flag])
    AC_CACHE_CHECK([whether the linker takes $cid_flag], [cid_cache], [
      cid_saved=$LDFLAGS
      LDFLAGS="$LDFLAGS -Werror $cid_flag"
      AC_LINK_IFELSE([AC_LANG_PROGRAM([[]], [[]])],
        [AS_VAR_SET([cid_cache], [yes])], [AS_VAR_SET([cid_cache], [no])])
      LDFLAGS=$cid_saved
    ])
    AS_VAR_IF([cid_cache], [yes], [$1="$$1 $cid_flag"])
    AS_VAR_POPDEF([cid_cache])
  done
])

# CID_SYSTEM_INCLUDES(VARIABLE)
# Warnings are for our own code: headers found by pkg-config are the system's.
AC_DEFUN([CID_SYSTEM_INCLUDES], [
  $1=`AS_ECHO(["$$1"]) | sed 's/-I *\//-isystem \//g'`
])
