"""Default access lists (acl(5)) for the folders that people share, as tmpfiles.d sets them.

With them, new files and folders can be read and moved by the group, whatever a person's umask is.
"""

import contextlib
import errno
import os
import stat
import struct
from pathlib import Path

_DEFAULT = "system.posix_acl_default"
_VERSION = 2  # of what the kernel takes (linux/posix_acl_xattr.h)
_USER_OBJ, _GROUP_OBJ, _OTHER = 0x01, 0x04, 0x20
_NOBODY = 0xFFFFFFFF  # these entries name no user
_ALL, _NOTHING = 7, 0
_ENTRIES = ((_USER_OBJ, _ALL), (_GROUP_OBJ, _ALL), (_OTHER, _NOTHING))
_ACL = struct.pack("<I", _VERSION) + b"".join(
    struct.pack("<HHI", tag, rights, _NOBODY) for tag, rights in _ENTRIES
)
_GOES_WITHOUT = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EACCES}


def share(folder: Path) -> bool:
    """Have all that is made in a folder of ours belong and be open to its group, and nobody else.

    Returns False where that cannot be had: people need a umask of 007 then.
    """
    if not _is_its_groups(folder):
        return False
    try:
        os.setxattr(folder, _DEFAULT, _ACL)
    except OSError as error:
        if error.errno not in _GOES_WITHOUT:
            raise
        return False
    return True


def _is_its_groups(folder: Path) -> bool:
    """Have all that is made in a folder belong to its group (the setgid bit); False if we may not.

    Without it, an access list would shut out the very users whom it is for, and us.
    """
    if not folder.stat().st_mode & stat.S_ISGID:
        with contextlib.suppress(PermissionError):  # a unit may forbid it (RestrictSUIDSGID=)
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_ISGID)
    return bool(folder.stat().st_mode & stat.S_ISGID)
