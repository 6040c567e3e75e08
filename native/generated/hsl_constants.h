/* Placeholder until spec/gen writes this file. */
#ifndef HSL_CONSTANTS_H
#define HSL_CONSTANTS_H

#define HSL_CRC32C_POLY 0x1EDC6F41u
#define HSL_CRC32C_INIT 0xFFFFFFFFu
#define HSL_CRC32C_XOROUT 0xFFFFFFFFu

#endif
