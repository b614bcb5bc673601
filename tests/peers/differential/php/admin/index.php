<?php require $_SERVER["DOCUMENT_ROOT"] . "/contract.inc"; answer("GUARDED");
