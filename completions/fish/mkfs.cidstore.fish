# SPDX-License-Identifier: BSD-2-Clause
# fish completion for mkfs.cidstore(8)

complete -c mkfs.cidstore -f -a '(__fish_complete_directories)'
complete -c mkfs.cidstore -l log-size -x -d 'Size of the write-ahead log'
complete -c mkfs.cidstore -l segment-size -x -d 'Size of the segment files'
complete -c mkfs.cidstore -l bucket-size -x -d 'A bucket splits above this'
complete -c mkfs.cidstore -l promotion-threshold -x -d 'Values from which a set has extents of its own'
complete -c mkfs.cidstore -l seed -x -d 'Seed of the hash order'
complete -c mkfs.cidstore -s o -x -d 'Settings by name'
complete -c mkfs.cidstore -s n -l dry-run -d 'Make nothing'
complete -c mkfs.cidstore -s q -l quiet -d 'Print nothing but errors'
complete -c mkfs.cidstore -s h -l help -d 'Print help and exit'
complete -c mkfs.cidstore -s V -l version -d 'Print the version and exit'
