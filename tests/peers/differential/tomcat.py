"""Tomcat with the servlet in Tomcat.java, which Eclipse's compiler translates, so that no JDK is needed."""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
JARS = "/usr/share/java"
LIBRARIES = ":".join(f"{JARS}/{name}.jar" for name in (
    "tomcat9-catalina", "tomcat9-coyote", "tomcat9-util", "tomcat9-util-scan", "tomcat9-juli", "tomcat9-api", "tomcat9-servlet-api",
    "tomcat9-annotations-api", "tomcat9-jaspic-api", "tomcat9-jni", "tomcat9-jsp-api", "tomcat9-el-api",
))
classes = tempfile.TemporaryDirectory(prefix="noren-tomcat-")
subprocess.run(
    ["java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", f"{JARS}/eclipse-jdt-core.jar",
     "org.eclipse.jdt.internal.compiler.batch.Main", "-17", "-nowarn", "-proc:none", "-cp", LIBRARIES, "-d", classes.name,
     f"{HERE}/Tomcat.java"],
    check=True, stdout=sys.stderr,
)
server = subprocess.Popen(
    ["java", "-XX:TieredStopAtLevel=1", "-Xmx128m", "-cp", f"{classes.name}:{LIBRARIES}", "Tomcat", classes.name],
)
# Tomcat says itself when it is ready, and ends with the standard input that it has from here.
sys.exit(server.wait())
