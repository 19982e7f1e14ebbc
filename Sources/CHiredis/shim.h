#pragma once
// hiredis serves as the codec only: redisReader parses replies, redisFormatCommandArgv writes commands.
// The same feature set as CSystem: two definitions of one system type in one program do not compile.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <hiredis/hiredis.h>
#include <hiredis/read.h>
