#pragma once
// hiredis serves as the codec only: redisReader parses replies, redisFormatCommandArgv writes commands.
#include <hiredis/hiredis.h>
#include <hiredis/read.h>
